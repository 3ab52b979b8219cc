"""Radiology Spanish for the offline rules: whole words, and the stems that PadChest publishes."""

from __future__ import annotations

import re

from tasks.reports.offline_lexicon import Lexicon

NOUNS = """
radiograf_de_torax=chest radiograph  radiograf_torax=chest radiograph  boton_metal=metallic button
alfil=pin  imperd=pin  collar=necklace  coll=necklace  monitor=monitor  cremaller=zipper
boton_ropa=button  joy=jewelry  derram=effusion  neumotorax=pneumothorax|*pneumothorax
hidroneumotorax=hydropneumothorax  cardiomegali=cardiomegaly  atelectasi=atelectasis|atelectasis
neumon=pneumonia|pneumonia  bronconeumon=bronchopneumonia  consolid=consolidation
condens=consolidation  infiltr=infiltrate|*infiltrates  opac=opacity  nodul=nodule  mas=mass
lesion=lesion  densid=density  edem=edema|edema  enfisem=emphysema|emphysema
fibrosis=fibrosis|fibrosis  fractur=fracture  calcific=calcification  granulom=granuloma
adenopati=lymphadenopathy|*adenopathies  bronquiectasi=bronchiectasis|*bronchiectasis
cavit=cavitation  hern=hernia  herni=hernia  hern_de_hiat=hiatal hernia
herni_de_hiat=hiatal hernia  escoliosis=scoliosis|scoliosis  cifosis=kyphosis|kyphosis
osteoporosis=osteoporosis  osteopeni=osteopenia  elong=elongation
ateromatosis=atheromatosis|atheromatosis  ateroma=atheroma  congest=congestion|congestion
redistribu=redistribution  engros=thickening  engrosamient=thickening  pinzamient=blunting
borramient=blurring  obliter=obliteration  elev=elevation  aplan=flattening  aplanamient=flattening
hiperinsufl=hyperinflation  hiperlucid=hyperlucency  hiperclarid=hyperlucency
atrap_aere=air trapping  atrapamient_aere=air trapping  insuficient_cardiac=heart failure
insuficienci_cardiac=heart failure  hipertension_pulmon=pulmonary hypertension
hipertension=hypertension  patron=pattern  broncogram_aere=air bronchogram
vidri_deslustr=ground glass  arañ=reticulation  tuberculosis=tuberculosis  tbc=tuberculosis
epoc=COPD  metastasis=metastasis|*metastases  neoplasi=neoplasm  tumor=tumor  quist=cyst
bull=bulla|*bullae  absces=abscess  empiem=empyema  hemotorax=hemothorax
neumomediastin=pneumomediastinum  neumoperitone=pneumoperitoneum  aneurism=aneurysm
dilat=dilatation  dilatacion=dilatation  crecimient=enlargement  ensanch=widening
ensanchamient=widening  desplazamient=shift  desviacion=deviation  desvi=deviation
retraccion=retraction  perd_volum=volume loss  perdid_volum=volume loss  perd_de_volum=volume loss
perdid_de_volum=volume loss  hipoexpansion=hypoexpansion  hipoventil=hypoventilation
aument_de_densid=increased density  aument_densid=increased density  aument=increase
disminucion=decrease  disminu=decrease  aplastamient=compression  acuñ=wedging  acuñamient=wedging
callo=callus  callo_fractur=fracture callus
cambi_degener=degenerative change|*degenerative changes  cambi=change|*changes
alter=abnormality|*abnormalities  alteracion=abnormality|*abnormalities
anomali=abnormality|*abnormalities  hallazg=finding|*findings  sign=sign|*signs  imag=image
evident=evidence|evidence  evidenci=evidence|evidence  lin_kerley=Kerley line|*Kerley lines
line_kerley=Kerley line|*Kerley lines  lin_de_kerley=Kerley line|*Kerley lines  band=band
tract=tract|*tracts  secuel=sequela|*sequelae  proces=process  enferm=disease  enfermed=disease
patologi=abnormality|*abnormalities  bocio=goiter  boci=goiter  placa=plaque  plac=plaque|*plaques
marcapas=pacemaker|pacemaker  desfibril=defibrillator  cateter=catheter  catet=catheter
reservori=port  tub=tube  sond=tube  dren=drain  drenaj=drain  electrod=lead|*leads
cabl=lead|*leads  protesis=prosthesis|prostheses  stent=stent  endoprotesis=stent graft
clip=clip|*clips  grap=staple|*staples  sutur=suture|*sutures  alambr=wire|*wires
cerclaj=wire|*wires  esternotomi=sternotomy  material=material|material
osteosintesis=osteosynthesis  dispositiv=device|*devices  cuerp_extrañ=foreign body|*foreign bodies
objet=object|*objects  traqueostomi=tracheostomy  canul=cannula  valvul=valve
cirugi=surgery|surgery  mastectomi=mastectomy|mastectomy  lobectomi=lobectomy
neumonectomi=pneumonectomy  radiograf=radiograph  estudi=study  control=follow-up
proyeccion=projection  proyecc=projection  torax=chest  pacient=patient  fiebr=fever  tos=cough
disne=dyspnea  dolor=pain  volum=volume|*volumes  tamañ=size  taman=size  morfologi=morphology
contorn=contour|*contours  indic_cardiotorac=cardiothoracic ratio  vascularizacion=vascularity
trama=markings|*markings  tram=markings|*markings  inspir=inspiration  inspiracion=inspiration
osteofit=osteophyte  union=junction  tac=CT  ict=cardiothoracic ratio  limit=limit|*limits
espondilosis=spondylosis  bronquitis=bronchitis
aire=air  air=air  liquid=fluid|fluid  nivel=level|*levels
nivel_hidroaere=air-fluid level|*air-fluid levels  extrem=tip  punt=tip  trayect=course
posicion=position  posic=position  localiz=location  tip=type  dud=doubt  sospech=suspicion
present=presence  presenci=presence  ausenci=absence  ausenc=absence  resto=remainder
rest=remainder  dia=day|days  opacificacion=opacification  nodulo=nodule  pezon=nipple  limit=limit
cuant=amount  cantid=amount  liqu=fluid|fluid  calcif=calcification  aplast=compression
adenopat=lymphadenopathy|*adenopathies  esternotom=sternotomy  mastectom=mastectomy|mastectomy
lobectom=lobectomy  neumonectom=pneumonectomy  desplazamient_mediastin=mediastinal shift
desplaz_mediastin=mediastinal shift  tub_de_drenaj=drainage tube  tub_de_dren=drainage tube
cabl_de_esternotom=sternotomy wire|*sternotomy wires  port-a-cath=Port-a-Cath
port_a_cath=Port-a-Cath  convex=convexity  aspect=appearance
"""

PLACES = """
ven_cav_superior=superior vena cava  ven_cav_inferior=inferior vena cava  pulmon=lung|*lungs
parenquim=parenchyma  lobul=lobe  lob=lobe  bas=base|*bases  vertic=apex|*apices  apic=apex|*apices
apex=apex|*apices  hili=hilum|*hila  mediastin=mediastinum  corazon=heart  siluet=silhouette
aort=aorta  boton=knob  cay=arch  cayad=arch  arc_cost=rib|*ribs  arc=arch|*arches
costill=rib|*ribs  clavicul=clavicle  escapul=scapula  humer=humerus  column=spine
vertebr=vertebra|*vertebrae  cuerp_vertebral=vertebral body|*vertebral bodies  diafragm=diaphragm
hemidiafragm=hemidiaphragm  cupul=dome  sen_costofren=costophrenic angle|*costophrenic angles
sen_cardiofren=cardiophrenic angle|*cardiophrenic angles  sen=sinus|*sinuses
angul_costofren=costophrenic angle|*costophrenic angles  cisur=fissure  pleur=pleura
hemitorax=hemithorax|hemithoraces  camp=field|*fields  zon=zone|*zones  region=region
lingul=lingula  segment=segment|*segments  traque=trachea  carin=carina  bronqui=bronchus|*bronchi
ventricul=ventricle  auricul=atrium  ven_cav=vena cava  ven=vein  subclavi=subclavian vein
yugul=jugular vein  arteri=artery  vas=vessel|*vessels  estomag=stomach  camar_gastr=gastric bubble
esofag=esophagus  cuell=neck  part_bland=soft tissue|*soft tissues  hues=bone|*bones
estructur=structure|*structures  lad=side  mitad=half  terci=third  abdom=abdomen  hombr=shoulder
espaci=space  mam=breast|*breasts  cavid=cavity  esternon=sternum  caj_torac=rib cage
pared_torac=chest wall  par_torac=chest wall  pared=wall|*walls  lsd=right upper lobe
lsi=left upper lobe  lid=right lower lobe  lii=left lower lobe  lm=middle lobe
"""

ADJECTIVES = """
en_vidri_deslustr=ground-glass  en_vidri_esmeril=ground-glass  visibl=visible  perihili=perihilar
redond=round  extrañ=foreign  proyect=projecting  metal=metallic  pleural=pleural  cardiac=cardiac
cardi=cardiac  aortic=aortic  mediastin=mediastinal  hiliar=hilar  hili_adj=hilar
perihiliar=perihilar  basal=basal  apical=apical  bibasal=bibasal  biapical=biapical
superior=upper  inferior=lower  medi=middle  central=central  periferic=peripheral
perifer=peripheral  posterior=posterior  anterior=anterior  lateral=lateral
intersticial=interstitial  interstici=interstitial  alveol=alveolar  alveolar=alveolar
reticul=reticular  reticulonodul=reticulonodular  nodular=nodular  lamin=laminar  line=linear
linear=linear  segmentari=segmental  lobar=lobar  basilar=basilar  retrocardiac=retrocardiac
retrocardi=retrocardiac  subsegmentari=subsegmental  parahiliar=parahilar  parenquimat=parenchymal
calcificad=calcified  calcic=calcified  degener=degenerative  dorsal=thoracic  lumbar=lumbar
cervical=cervical  vertebral=vertebral  costal=costal  oseas=bony  ose=bony  vascul=vascular
vascular=vascular  venos=venous  arterial=arterial  pulmonar=pulmonary  hiatal=hiatal  hiat=hiatal
ateromatos=atheromatous  ateromat=atheromatous  elongad=elongated  cronic=chronic  agud=acute
antigu=old  residual=residual  residu=residual  inflamatori=inflammatory  infecci=infectious
infeccios=infectious  metastas=metastatic  tumoral=neoplastic  quirurg=surgical  metalic=metallic
endotraqueal=endotracheal  nasogastr=nasogastric  orogastr=orogastric  toracic=thoracic
torac=thoracic  yugular=jugular  mitral=mitral  valvular=valvular  bicameral=dual chamber
unicameral=single chamber  radiolog=radiological  patolog=pathological  relev=relevant
reseñ=notable  destac=notable  focal=focal  difus=diffuse  local=local  loculad=loculated
encapsul=loculated  homogene=homogeneous  parch=patchy  bien_defin=well-defined
mal_defin=ill-defined  espicul=spiculated  redonde=round  libr=clear  libres=clear  normal=normal
conserv=preserved  adecu=adequate  correct=correct  permeabl=patent  aument_adj=increased
prominent=prominent  engrosad=thickened  ensanchad=widened  elevad=elevated  aplanad=flattened
borrad=blurred  desplaz=displaced  aere=aerated  gastric=gastric  diafragmat=diaphragmatic
subcutane=subcutaneous  cardiovascul=cardiovascular  cardiopulmon=cardiopulmonary
tuberculos=tuberculous  paquipleurit=pleural  fibros=fibrous  fibrotic=fibrotic
cicatricial=scar-like  cicatric=scar-like  portatil=portable  distal=distal  proximal=proximal
mayor=major  menor=minor  unic=single  similar=similar  estabilid=stable  estabil=stable
establ=stable  previ=previous  anterior_estudi=previous  nuev=new  recient=recent  axial=axial
izquierdos=left  tecnic=technical  valor=assessable  cardiomediastin=cardiomediastinal
contralateral=contralateral  global=global  pectoral=pectoral  complet=complete  parchead=patchy
acentu=accentuated  neumonic=pneumonic  subpleural=subpleural  peribronquial=peribronchial
broncovascul=bronchovascular  broncovascular=bronchovascular  miliar=miliary  solitari=solitary
cavo-auricul=cavoatrial  cavo-auricular=cavoatrial  alt=high  baj=low  esternal=sternal
"""

GRADES = """
pequeñ=small  pequen=small  lev=mild  leve=mild  discret=slight  minim=minimal  moder=moderate
import=marked  marcad=marked  marc=marked  sever=severe  grav=severe  mas_import=massive
gran=large  grand=large  extens=extensive  liger=slight  masiv=massive  signific=significant
dos=two  tres=three  cuatr=four  vari=several  multipl=multiple  numer=numerous  algun=some
otr=other  amb=both  ambos=both  ambas=both  posibl=possible  probabl=probable  dudos=questionable
evidente=evident  incipient=incipient  primer=first  segund=second  tercer=third  cuart=fourth
quint=fifth  sext=sixth  septim=seventh  octav=eighth  noven=ninth  sol=only  desaparec=resolved
"""

SIDES = """
izquierd=left  izqd=left  izq=left  derech=right  dcho=right  dch=right  dcha=right
bilateral=bilateral
"""

RELATIONS = """
ener_de=January  febrer=February  abril=April  may_de=May  juni=June  juli=July  agost=August
septiembr=September  octubr=October  noviembr=November  diciembr=December  de=of  del=of  en=in
a=at  al=at  con=with  por=by  sobr=over  hacia=toward  haci=toward  desd=from  hast=to  bajo=under
entre=between  entr=between  tras=after  segun=according to  para=for
compatible_con=compatible with  compat_con=compatible with  compatibl_con=compatible with
sugest_de=suggestive of  sugerent_de=suggestive of  sugestiv_de=suggestive of  sugier=suggests
en_relacion_con=related to  en_relacion_a=related to  relacion_con=related to  por_encim_de=above
encim_de=above  por_debaj_de=below  debaj_de=below  a_nivel_de=at the level of
a_nivel=at the level of  a_la_izquierd=on the left  a_la_derech=on the right
haci_la_derech=to the right  haci_la_izquierd=to the left  haci_el_lad_derech=to the right
haci_el_lad_izquierd=to the left  respect_a=compared to  respect_al=compared to
respect=compared to  en_comparacion_con=compared to  comparacion_con=compared to
secundari_a=secondary to  asoci_a=associated with  asociad_a=associated with
a_descart=to be excluded:  a_valor=to be assessed:  y=and  e=and  o=or  u=or  ni=or  pero=but
milimetr=mm  mm=mm  cm=cm  centimetr=cm  per=but  aunqu=although  que=which  como=as  com=as
sin_embarg=however  por_lo_que=so  es=is  son=are  esta=is  estan=are  hay=there is  exist=there is
muestr=shows  present_v=shows  persist=persistent  continu=continues  impresion=impresses as
sugiere=suggests  suger=suggests  probablement=probably  posiblement=possibly  ya=already
tambien=also  tambi=also  ademas=also  mas=more  menos=less  muy=very  algo=somewhat
actualment=currently  actual=currently  por_via=via  de_predomini=predominantly
predomini=predominantly  aument_de_taman=increased in size  ha_aument=has increased
ha_disminu=has decreased  han_aument=have increased  han_disminu=have decreased
previament=previously  previ_=previous  no_descart=cannot exclude  no_se_descart=cannot exclude
no_se_pued_descart=cannot exclude  no_pued_descart=cannot exclude
no_es_posibl_descart=cannot exclude
"""

DENIALS = """
sin=no  no=not  sin_evident_de=no evidence of  sin_evidenci_de=no evidence of
sin_evident=no evidence of  sin_sign_de=no signs of  no_se_observ=no  no_se_apreci=no
no_se_visualiz=no  no_se_identific=no  no_se_evident=no  no_se_evidenci=no  no_se_objetiv=no
no_se_ve=no  no_se_ven=no  no_se_demuestr=no  no_observ=no  no_apreci=no  no_visualiz=no
no_identific=no  no_evident=no  no_objetiv=no  no_hay=no  no_exist=no  no_present=no  no_muestr=no
ausenci_de=absence of  ausenc_de=absence of  no_parec=no apparent
"""

SILENT = """
portador_de se el la los las lo un una unos unas su sus le ha han sido se_observ se_apreci
se_visualiz se_identific se_objetiv se_evident se_evidenci se_ve se_ven observ apreci visualiz
identific objetiv observandos apreciandos se_compar
"""

_ENDINGS = re.compile(
    r"(?:[aeio]|[ao]s|es|is|s|i[ao]s?|[ai]d[ao]s?|ion|iones|cion|ciones|on|ones|ic[ao]s?|acion|aciones|al|ales"
    r"|ar|ares|(?:at)?iv[ao]s?|ables?|or|ores|ad|dad|idad|idades|(?:a|i)?mient[ao]?s?|amente|mente|ment|nt|nte"
    r"|ntes|ncia|ncias|[ae]n|o?s[ao]s?|ci|c)?"
)
"""What may follow a stem: endings of gender, number, person and the suffixes that stemming cuts."""

SPANISH = Lexicon(
    "es",
    {
        "X": SILENT, "R": RELATIONS, "D": DENIALS, "Q": GRADES, "S": SIDES, "A": ADJECTIVES,
        "N": NOUNS, "L": PLACES,
    },
    _ENDINGS,
)  # fmt: skip
